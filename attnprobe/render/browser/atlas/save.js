// Pictures and files of what is shown.
