"""aisf_geo: satellite and aerial imagery to maps, features and SDG indicators that can be defended."""
