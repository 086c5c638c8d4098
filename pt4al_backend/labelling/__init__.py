"""What people are asked about an image and what they answer: a file per label type, and the labelling platform."""
