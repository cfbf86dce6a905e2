"""Git and DVC: storage, connection, checks, reproduction, the report of a change."""
