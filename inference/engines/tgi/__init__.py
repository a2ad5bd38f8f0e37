"""HuggingFace TGI 3.3.7, the last one: how it is asked, how its answer is read, and which schemas it follows."""
