"""The trials of a study as plain data: taken out of Optuna, put into it again, and removed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError
from ablate.record.databases import check_database, is_there
from ablate.record.patience import shown
from ablate.runner.studies.study import TABLE, open_optuna, patiently_on, storage_of

if TYPE_CHECKING:
    import optuna

    from ablate.runner.studies.study import Storage

HALF_WAY = "ablate.import"
"""Attribute of a study whose trials are being put in: whatever is there of it counts for nothing."""


def pack_trials(storage: Storage, name: str) -> list[dict[str, Any]]:
    """The trials of a study, none if there is no such study. Raises UserError for a broken database."""
    if not _may_be(storage) or not (study := _find(storage, name)):
        return []
    from optuna.distributions import distribution_to_json

    return [
        {
            "state": trial.state.name,
            "directions": [direction.name.lower() for direction in study.directions],
            "values": None if trial.values is None else [repr(float(value)) for value in trial.values],
            "params": dict(trial.params),
            "distributions": {key: distribution_to_json(d) for key, d in trial.distributions.items()},
            "intermediate": {str(step): value for step, value in trial.intermediate_values.items()},
            "user": dict(trial.user_attrs),
            "system": dict(trial.system_attrs),
            "started": trial.datetime_start and trial.datetime_start.isoformat(),
            "ended": trial.datetime_complete and trial.datetime_complete.isoformat(),
        }
        for trial in study.get_trials(deepcopy=False)
    ]


def refuse_study(storage: Storage, name: str) -> None:
    """Raises UserError if there is a study of this name already."""
    if _may_be(storage) and (study := _find(storage, name)) and not study.user_attrs.get(HALF_WAY):
        fix = "Nothing was changed. `ablate rm` with the experiment's name removes it."
        raise UserError(f"Optuna has the study {name!r} already", where=shown(str(storage)), fix=fix)


def unpack_trials(storage: Storage, name: str, packed: list[dict[str, Any]]) -> None:
    """Makes a study with these trials. One that is half-way in from an earlier time is made anew."""
    remove_study(storage, name)
    directions = packed[0].get("directions", ["minimize"]) if packed else ["minimize"]
    study = open_optuna(storage, name, directions)
    study.set_user_attr(HALF_WAY, True)
    for trial in packed:
        study.add_trial(_trial(trial))
    study.set_user_attr(HALF_WAY, False)


def _trial(packed: dict[str, Any]) -> optuna.trial.FrozenTrial:
    from optuna.distributions import CategoricalDistribution, json_to_distribution
    from optuna.trial import FrozenTrial, TrialState

    def moment(text: str | None) -> datetime | None:
        return None if text is None else datetime.fromisoformat(text)

    if "choices" in packed:  # written before there were searches
        distributions = {name: CategoricalDistribution(among) for name, among in packed["choices"].items()}
        values = None if packed["value"] is None else [packed["value"]]
    else:
        distributions = {name: json_to_distribution(d) for name, d in packed["distributions"].items()}
        values = packed["values"]
    return FrozenTrial(
        number=-1,  # Optuna counts
        trial_id=-1,
        state=TrialState[packed["state"]],
        value=None,
        values=None if values is None else [float(value) for value in values],
        datetime_start=moment(packed["started"]),
        datetime_complete=moment(packed["ended"]),
        params=packed["params"],
        distributions=distributions,
        user_attrs=packed["user"],
        system_attrs=packed["system"],
        intermediate_values={int(step): value for step, value in packed.get("intermediate", {}).items()},
    )


def has_study(storage: Storage, name: str) -> bool:
    """Whether there is a study of this name."""
    return _may_be(storage) and _find(storage, name) is not None


def remove_study(storage: Storage, name: str) -> bool:
    """Removes a study with its trials. Gives whether there was one."""
    import optuna

    if not has_study(storage, name):
        return False
    patiently_on(storage)(lambda: optuna.delete_study(study_name=name, storage=storage_of(storage)))
    return True


def _find(storage: Storage, name: str) -> optuna.Study | None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if isinstance(storage, Path):
        check_database(storage, TABLE)

    def look() -> optuna.Study | None:
        tables = storage_of(storage)
        if name not in optuna.get_all_study_names(tables):
            return None
        return optuna.load_study(study_name=name, storage=tables)

    return patiently_on(storage)(look)


def _may_be(storage: Storage) -> bool:
    """Whether there can be a study: a server has to be asked."""
    return not isinstance(storage, Path) or is_there(storage)
