"""Pictures of MLflow's UI and of the HTML report: ``python docs/screenshot.py DATABASE EXPERIMENT [NAME …]``.

Needs what the package itself does not: ``pip install selenium``, and Chromium with its driver. It serves the
database with ``ablate ui`` and writes into ``docs/images`` those that are named, or all of ``PICTURES``.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mlflow import MlflowClient
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from ablate.looking.chosen import choose
from ablate.report.write import write_report

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

IMAGES = Path(__file__).parent / "images"
PORT = 5077
COLUMNS = (
    "seeds",
    "fid",
    "fid.lower",
    "fid.upper",
    "fid.difference",
    "fid.difference.lower",
    "fid.difference.upper",
)
"""Of the table of runs: metrics."""
VARIANTS = "tags.`ablate.kind` = 'variant'"
COMPARED = "^(fid|fid.difference|samples)$"
"""The charts that compare variants."""
CHARTS = "^(fid|loss_mse|preview)$"
"""The charts of a run."""
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


def main(database: Path, experiment: str, wanted: list[str]) -> None:
    """Serve, take the pictures, stop."""
    client = MlflowClient(f"sqlite:///{database}")
    number = client.get_experiment_by_name(experiment).experiment_id
    address = f"http://127.0.0.1:{PORT}"
    command = [sys.executable, "-m", "ablate", "ui", "--port", str(PORT)]
    server = subprocess.Popen([*command, "--tracking-uri", f"sqlite:///{database}"])
    with tempfile.TemporaryDirectory() as profile:
        browser = open_browser(Path(profile))
        try:
            wait_for(address)
            # Otherwise the first visit opens a chat panel over a third of the window.
            browser.get(address)
            for panel in ("panelOpen", "fab.autoOpenedOnFirstLoad"):
                value = "false" if panel == "panelOpen" else "true"
                browser.execute_script(f"localStorage['mlflow.assistant.{panel}_v1'] = '{value}'")
            for name in wanted or PICTURES:
                PICTURES[name](browser, client, number)
                save(browser, name)
        finally:
            browser.quit()
            server.terminate()
            server.wait()


def picture_of_experiment(browser: webdriver.Chrome, client: MlflowClient, number: str) -> None:
    """The variants with their means, and the parent, opened, with the runs of its seeds."""
    visit(browser, f"{number}/runs", "compareRunsMode=TABLE&searchFilter=")
    find(browser, ".ag-cell button")
    choose_columns(browser, number, [f"metrics.`{name}`" for name in COLUMNS])
    find(browser, ".ag-cell button").click()
    time.sleep(2)


def picture_of_variants(browser: webdriver.Chrome, client: MlflowClient, number: str) -> None:
    """Charts of the variants, and samples of each."""
    visit(browser, f"{number}/runs", f"compareRunsMode=CHART&searchFilter={quote(VARIANTS)}")
    find(browser, "input[placeholder*='Search metric']").send_keys(COMPARED)
    time.sleep(8)  # until the charts that do not match are gone, and the others drawn


def picture_of_run(browser: webdriver.Chrome, client: MlflowClient, number: str) -> None:
    """Some charts of the newest run of a seed, with its preview after the last epoch that has one."""
    finished = "attributes.status = 'FINISHED' and tags.`ablate.kind` = 'run'"
    run = client.search_runs([number], finished, order_by=["attributes.start_time DESC"])[0].info.run_id
    images = [file.path for file in client.list_artifacts(run, "images")]
    epoch = max(int(found[1]) for name in images if (found := re.search(r"preview\+step\+(\d+)", name)))
    visit(browser, f"{number}/runs/{run}/model-metrics")
    find(browser, "input[placeholder*='Search metric']").send_keys(CHARTS)
    time.sleep(3)  # until the charts that do not match are gone
    slider = find(browser, "input[type=number]")
    slider.send_keys(Keys.CONTROL, "a")
    slider.send_keys(str(epoch), Keys.ENTER, Keys.TAB)
    image = find(browser, "img[src*='get-artifact']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", image)
    time.sleep(2)


def picture_of_report(browser: webdriver.Chrome, client: MlflowClient, number: str) -> None:
    """The head of the HTML report."""
    name = client.get_experiment(number).name
    with tempfile.TemporaryDirectory() as folder:
        chosen = choose(name, client.tracking_uri)
        page = write_report(chosen.record, chosen.vocabulary, Path(folder), format="html")
        browser.get(page.as_uri())
        find(browser, "table")


def picture_of_samples(browser: webdriver.Chrome, client: MlflowClient, number: str) -> None:
    """Its samples, one variant at a time."""
    picture_of_report(browser, client, number)
    browser.execute_script("arguments[0].scrollIntoView()", find(browser, "#samples"))


PICTURES = {
    "html-report": picture_of_report,
    "html-samples": picture_of_samples,
    "mlflow-experiment": picture_of_experiment,
    "mlflow-variants": picture_of_variants,
    "mlflow-run": picture_of_run,
}


def visit(browser: webdriver.Chrome, path: str, options: str = "") -> None:
    """Opens a page of the experiments. The time makes it another address: else the page would stay."""
    page = f"http://127.0.0.1:{PORT}/?{time.time()}#/experiments/{path}?workflowType=machine_learning"
    browser.get(f"{page}&{options}" if options else page)


def choose_columns(browser: webdriver.Chrome, number: str, columns: list[str]) -> None:
    """Shows these columns in the table of runs, as *Columns* there does."""
    key = f'MLflowLocalStorage-1.1-ExperimentPage-["{number}"]-ReactComponentState'
    state = json.loads(browser.execute_script("return localStorage[arguments[0]]", key))
    widths = {f"${name}": 110 for name in columns}
    state |= {"selectedColumns": columns, "columnWidths": widths}
    browser.execute_script("localStorage[arguments[0]] = arguments[1]", key, json.dumps(state))
    browser.refresh()


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
    with Image.open(BytesIO(browser.get_screenshot_as_png())) as image:
        image.convert("RGB").save(IMAGES / f"{name}.png", optimize=True)


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
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]).absolute(), sys.argv[2], sys.argv[3:])
