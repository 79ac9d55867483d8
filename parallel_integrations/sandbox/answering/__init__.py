"""From pages to answers: quoted sentences, filled schemas, matches."""
