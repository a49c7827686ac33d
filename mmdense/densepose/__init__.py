"""Dense pose of people; builds on mmdet."""
