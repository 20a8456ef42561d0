"""The record of experiments in MLflow. Nothing outside this folder imports MLflow or sees its types.

``write`` makes parents, children, curves and images; ``read`` gives them back for the report;
``recorder`` stands between the runner and ``write``. For housekeeping, ``status`` reads without MLflow,
``transfer`` takes an experiment out and puts it in elsewhere, ``remove`` removes it. ``identity`` says which
experiment is which. Below them, ``addresses`` says which addresses can work, ``client`` reaches MLflow,
``databases`` makes SQLite files and looks after them, ``artifacts`` has the files of runs, and ``patience``
turns all failures into ablate's errors.
"""

import os

# MLflow reads these when it is imported: nothing is sent anywhere unless the user turns it on, and
# the patience with a server that does not answer is ours (``patience``).
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
# Its lines about where to view a run show the password of the address.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# `ablate ui` would otherwise start seven more processes, for services that nothing here uses.
os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
