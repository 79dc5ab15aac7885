"""Copy a log from one database to another (``manage.py copy_log``)."""
