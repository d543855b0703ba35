"""SPA-VL's published safety figures as counts: `cells` (as printed), `counts`, `differences`, `page`."""
