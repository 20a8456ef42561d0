"""What tags and files are called in MLflow."""

from __future__ import annotations

PARENT = "mlflow.parentRunId"
"""MLflow's own tag of a child run."""
KIND = "ablate.kind"
"""``experiment`` for a parent, ``run`` for a child."""
KEY = "ablate.key"
"""What a parent or a child is found again by."""
VARIANT = "ablate.variant"
SEED = "ablate.seed"
COMMIT = "ablate.commit"
REASON = "ablate.reason"
"""Why a run failed."""
SUPERSEDED = "ablate.superseded"
"""On results of other code or data under the same spec."""
PREVIEW = "ablate.preview"
"""With ``.<epoch>``: that preview is logged."""

SPEC, PROVENANCE, AUDIT, VERIFIED = "spec.json", "provenance.json", "audit.json", "verified.json"
"""Files of a parent run."""
CONFIG, RUN, SCORES, SAMPLES = "config.json", "run.json", "scores.json", "samples"
"""Files of a child run; the last is a folder."""
