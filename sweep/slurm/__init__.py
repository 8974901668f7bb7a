"""A sweep as a job of a Slurm cluster: its script, its leader, its hosts."""
