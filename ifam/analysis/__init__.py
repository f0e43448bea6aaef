"""What a trained model attends to, and what happens when that is changed."""
