"""DPO of spavl against TRL, side by side: the model, the pairs, the settings, and each side's trainer."""
