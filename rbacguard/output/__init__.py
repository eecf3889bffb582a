"""One report model, many renderings; the engine knows none of them."""
