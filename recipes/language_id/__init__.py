"""Recipe of a zoo for language identification: five packages of the Python Package Index as candidates."""
