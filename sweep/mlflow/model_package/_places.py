"""Where the ensemble lies in a model's folder."""

#: Name of the artifact that holds the ensemble, and where MLflow puts it in the model's folder.
ARTIFACT = "ensemble"
ENSEMBLE_FOLDER = f"artifacts/{ARTIFACT}"
