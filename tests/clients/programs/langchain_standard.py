"""LangChain's own standard tests, with the flags that it declares for OpenAI where the model reads text alone."""

import os

import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from scenario import KEY, MODEL, URL, report


class TestParley(ChatModelIntegrationTests):
    """``ChatOpenAI`` with the site's address."""

    chat_model_class = ChatOpenAI
    chat_model_params = {"model": MODEL, "base_url": URL, "api_key": KEY, "stream_usage": True}
    supports_json_mode = True


class Outcomes:
    """Takes note of how each test ends."""

    def __init__(self):
        self.passed, self.failed, self.skipped = [], {}, []

    def pytest_runtest_logreport(self, report):
        """Take note."""
        name = report.nodeid.rpartition("::")[2]
        if report.failed:
            reasons = [line for line in str(report.longrepr).splitlines() if line.startswith("E ")]
            self.failed[name] = " ".join(reasons)[-500:]
        elif report.skipped:
            self.skipped.append(name)
        elif report.when == "call":
            self.passed.append(name)


if __name__ == "__main__":
    outcomes = Outcomes()
    # Nothing of the site's own settings for tests; and one loop, because its asynchronous client is kept.
    options = ["-c", os.devnull, "--rootdir", os.curdir, "--noconftest", "-q", "-p", "no:cacheprovider"]
    for setting in ("asyncio_mode=auto", "asyncio_default_test_loop_scope=session"):
        options += ["-o", setting]
    pytest.main([os.path.abspath(__file__), *options], plugins=[outcomes])
    report(passed=outcomes.passed, failed=outcomes.failed, skipped=outcomes.skipped)
