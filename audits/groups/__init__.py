"""Groups of people, alone and crossed: which can be shown, which can be judged, and gaps between them."""
