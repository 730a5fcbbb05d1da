"""The page of `cnn report`: everything about a training run in one file, without any script."""

from cnncli.web.report.collect import Findings, collect
from cnncli.web.report.page import make_page
from cnncli.web.report.write import Report, write_report

__all__ = ["Findings", "Report", "collect", "make_page", "write_report"]
