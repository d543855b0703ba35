"""The dataset's stages, each as a plain function with a plain function for a model."""
