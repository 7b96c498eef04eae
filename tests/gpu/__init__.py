"""What needs a GPU: trains and serves with the images' own files, on a machine without a cluster; see __main__."""
