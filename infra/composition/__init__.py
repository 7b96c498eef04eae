"""What services are declared with, and how they are discovered, put in order and composed."""
