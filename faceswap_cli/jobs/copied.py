"""Imported first in the process that workers are copies of, see ``jobs.forks``."""

from __future__ import annotations

import signal

# Signals reach the whole group; the process that gave the work decides what they mean.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
