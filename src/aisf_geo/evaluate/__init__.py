"""What a map is worth: labelled images and their masks, figures by place, calibration."""
