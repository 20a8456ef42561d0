#!/bin/bash
# sbatch examples/cluster/slurm.sh experiments/ema.yaml
# Stopped by its time limit or by a lost machine, the same line goes on from where it was.
#SBATCH --job-name=ablate
#SBATCH --nodes=2                 # change: machines
#SBATCH --cpus-per-task=16        # change: cores of each
#SBATCH --gpus-per-node=4         # change: GPUs of each; without GPUs remove this line
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive               # Ray's launcher ends every Ray on a machine
#SBATCH --time=24:00:00

set -euo pipefail
cd "$SLURM_SUBMIT_DIR"            # a folder that all machines see: the store and the reports are here
source .venv/bin/activate

# SQLite breaks in such a folder. So the record is on a server, and the study, which can be lost, on a local disk.
export MLFLOW_TRACKING_URI=http://mlflow.example:5000 # change: your server
export ABLATE_STUDY_STORAGE="sqlite:////tmp/$SLURM_JOB_USER-optuna.db"

# Only who has this token can use the cluster. It is made once, in your home.
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
ray get-auth-token --generate > /dev/null

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address="$head:$((20000 + SLURM_JOB_ID % 10000))" # another one for each job

# On every machine: starts Ray there. On the first one, when all are there: runs the command; then ends Ray.
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus "${SLURM_GPUS_ON_NODE:-0}" -- \
    ablate run "$@" --executor ray --address "$address"
