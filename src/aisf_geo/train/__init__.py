"""Training of the shipped models; needs the extra ``[train]``, and nothing above imports it but its command."""
