"""The objects of the API: which fields they have, and what each field means."""
