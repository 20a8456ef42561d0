"""The record of experiments in MLflow. Nothing outside this folder imports MLflow or sees its types.

``write`` makes parents, children, curves and images; ``read`` gives them back for the report;
``recorder`` stands between the runner and ``write``.
"""

import os

# MLflow reads these when it is imported: nothing is sent anywhere unless the user turns it on, and
# a server that does not answer is an error after seconds, not after four minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
# `ablate ui` would otherwise start seven more processes, for services that nothing here uses.
os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
