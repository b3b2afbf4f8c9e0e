"""Proof, before training, that nothing of the future reaches it: what each check looks at is what training uses."""

from stockbot.audit.report import Audit, Check
from stockbot.audit.run import audit, audited

__all__ = ["Audit", "Check", "audit", "audited"]
