"""Pictures of the MLflow UI for the documentation: ``python docs/screenshot.py DATABASE EXPERIMENT``.

Needs what the package itself does not: ``pip install selenium``, and Chromium with its driver.
It serves the database with ``ablate ui`` and writes ``docs/images/mlflow-experiment.png`` (the parent
run with its children) and ``docs/images/mlflow-run.png`` (one run's curves and preview images).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

IMAGES = Path(__file__).parent / "images"
PORT = 5077
CHARTS = "^(fid|loss_mse|preview)$"
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,900",
)


def main(database: Path, experiment: str) -> None:
    """Serve, take both pictures, stop."""
    client = MlflowClient(f"sqlite:///{database}")
    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    finished = "attributes.status = 'FINISHED' and tags.`ablate.kind` = 'run'"
    run = client.search_runs([experiment_id], finished, order_by=["attributes.start_time DESC"])[0]
    previews = [int(name.rsplit(".", 1)[1]) for name in run.data.tags if re.match(r"ablate\.preview\.", name)]

    address = f"http://127.0.0.1:{PORT}"
    ablate = [sys.executable, "-m", "ablate", "ui", "--port", str(PORT)]
    server = subprocess.Popen([*ablate, "--tracking-uri", f"sqlite:///{database}"])
    with tempfile.TemporaryDirectory() as profile:
        browser = open_browser(Path(profile))
        try:
            wait_for(address)
            # Otherwise the first visit opens a chat panel over a third of the window.
            browser.get(address)
            for panel in ("panelOpen", "fab.autoOpenedOnFirstLoad"):
                value = "false" if panel == "panelOpen" else "true"
                browser.execute_script(f"localStorage['mlflow.assistant.{panel}_v1'] = '{value}'")
            picture_of_experiment(browser, f"{address}/?1#/experiments/{experiment_id}/runs")
            path = f"/?2#/experiments/{experiment_id}/runs/{run.info.run_id}/model-metrics"
            picture_of_run(browser, address + path, max(previews))
        finally:
            browser.quit()
            server.terminate()
            server.wait()


def picture_of_experiment(browser: webdriver.Chrome, address: str) -> None:
    """The parent run, opened, with its children."""
    browser.get(f"{address}?workflowType=machine_learning")
    find(browser, ".ag-cell button").click()
    time.sleep(2)
    save(browser, "mlflow-experiment")


def picture_of_run(browser: webdriver.Chrome, address: str, epoch: int) -> None:
    """Some of a run's charts, the preview images at ``epoch``."""
    browser.get(f"{address}?workflowType=machine_learning")
    find(browser, "input[placeholder*='Search metric']").send_keys(CHARTS)
    time.sleep(3)  # until the charts that do not match are gone
    number = find(browser, "input[type=number]")
    number.send_keys(Keys.CONTROL, "a")
    number.send_keys(str(epoch), Keys.ENTER, Keys.TAB)
    image = find(browser, "img[src*='get-artifact']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", image)
    time.sleep(2)
    save(browser, "mlflow-run")


def open_browser(profile: Path) -> webdriver.Chrome:
    """A headless Chromium with an empty profile."""
    options = webdriver.ChromeOptions()
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    driver = shutil.which("chromedriver")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver) if driver else None)


def find(browser: webdriver.Chrome, selector: str) -> WebElement:
    """The first element that matches, as soon as it is there."""
    return WebDriverWait(browser, 60).until(lambda b: b.find_element(By.CSS_SELECTOR, selector))


def save(browser: webdriver.Chrome, name: str) -> None:
    """Writes what the window shows."""
    IMAGES.mkdir(exist_ok=True)
    browser.save_screenshot(str(IMAGES / f"{name}.png"))


def wait_for(address: str) -> None:
    """Returns when the server answers."""
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/health").close()
            return
        except OSError:
            time.sleep(1)
    raise SystemExit(f"{address} does not answer")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]).absolute(), sys.argv[2])
