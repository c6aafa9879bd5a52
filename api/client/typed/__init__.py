"""A method for each route of the service, sync and async, with types: written from the routes themselves."""
