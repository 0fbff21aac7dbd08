"""The roles of the templates, what each of them needs and why, and whether its policies are that and no more."""
