"""``--report``: one self-contained page that shows what a swap did; see :mod:`faceswap_cli.report.page`."""

from __future__ import annotations

from faceswap_cli.report.job import Job
from faceswap_cli.report.write import write_report

__all__ = ["Job", "write_report"]
