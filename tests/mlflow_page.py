"""MLflow's page of one model version in a real browser: what a person can do and read there.

Written against MLflow 3.17. Chromium and its driver come from Debian (`apt-get install chromium chromium-driver`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # it does not start as root with one
    "--disable-gpu",
    "--disable-dev-shm-usage",
    # No calls home: there is no network in a test.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1400",
)
WITHIN_S = 60  # a request must be decided within a minute; the page itself takes a second or two
# What MLflow's own switch "New model registry UI" writes: with it on the page has aliases, with it off stages.
SWITCH = "localStorage.setItem('_mlflow_user_setting_dismiss_next_model_registry_ui', arguments[0])"
STAGE = "span[class*=mlflow-stage-transition-dropdown]"


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """A headless Chromium with nothing remembered."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


class VersionPage:
    """The page of one version of a model."""

    def __init__(self, driver: webdriver.Chrome, address: str, model: str, version: int) -> None:
        self._driver = driver
        self._url = f"{address}/#/models/{model}/versions/{version}"
        self._title = f"Version {version}"
        self.reload()

    def reload(self, *, with_stages: bool = False) -> None:
        """Show the page as it is now."""
        self._driver.get(self._url)
        self._driver.execute_script(SWITCH, str(with_stages).lower())
        self._driver.refresh()
        self._until(lambda: self._title in self._text())

    def set_stage(self, stage: str) -> None:
        """Choose a stage from the menu, and confirm."""
        self.reload(with_stages=True)
        self._find(STAGE).click()
        self._until(lambda: self._choices(f"Transition to {stage}"))[0].click()
        self._confirm("OK", "Confirm")

    def add_alias(self, alias: str) -> None:
        """Type an alias into the editor, and save."""
        self.reload()
        self._find("button[data-component-id*=modelversionviewaliaseditor]").click()
        field = self._find("[role=dialog] input[role=combobox]")
        field.send_keys(alias)
        field.send_keys(Keys.ENTER)
        self._confirm("Save aliases")

    def read_until(self, words: str) -> str:
        """The page's text, reloaded until these words stand in it."""

        def shown() -> str | None:
            self.reload()
            text = self._text()
            return text if words in text else None

        return str(WebDriverWait(self._driver, WITHIN_S, poll_frequency=1).until(lambda _driver: shown()))

    def stage(self) -> str:
        """The stage that the page shows."""
        self.reload(with_stages=True)
        return str(self._find(STAGE).text.strip())

    def photograph(self, path: Path) -> None:
        """Save a picture of the page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._driver.save_screenshot(str(path))

    def _confirm(self, *names: str) -> None:
        def buttons() -> list[WebElement]:
            found = self._driver.find_elements(By.CSS_SELECTOR, "[role=dialog] button")
            return [button for button in found if button.is_displayed() and button.text.strip() in names]

        self._until(buttons)[0].click()
        self._until(lambda: not buttons())

    def _choices(self, text: str) -> list[WebElement]:
        found = self._driver.find_elements(By.CSS_SELECTOR, "[role=menuitem]")
        return [choice for choice in found if choice.is_displayed() and " ".join(choice.text.split()) == text]

    def _find(self, selector: str) -> WebElement:
        def found() -> WebElement | None:
            shown = [one for one in self._driver.find_elements(By.CSS_SELECTOR, selector) if one.is_enabled()]
            return shown[0] if shown else None

        element: WebElement = self._until(found)
        return element

    def _text(self) -> str:
        return str(self._driver.find_element(By.TAG_NAME, "body").text)

    def _until(self, condition: Callable[[], Any]) -> Any:
        # React replaces parts of the page while it loads: what was found may be gone when it is looked at.
        waiting = WebDriverWait(self._driver, WITHIN_S, ignored_exceptions=[StaleElementReferenceException])
        return waiting.until(lambda _driver: condition())
