"""As in the console, and with the zone, since columns in the admin panel do not name it."""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i:s T"
