"""The stages composed as plain functions for one block, one scene, one zone. No Prefect here."""
