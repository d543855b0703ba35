"""The local web app in which people label pairs and answers."""
