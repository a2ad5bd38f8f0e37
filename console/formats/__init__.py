"""How dates are written where a page does not say how: FORMAT_MODULE_PATH."""
