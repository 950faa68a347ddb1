"""Two releases side by side: asked the same questions, judged alike, and part by part what makes the difference."""
