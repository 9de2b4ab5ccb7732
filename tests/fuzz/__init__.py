"""`make fuzz`: calls that nobody thought of, made from the API's own description, against the whole product."""
