"""Write the service's OpenAPI document to openapi.json, from which ``npm run api`` makes the types."""

import json
from pathlib import Path
from unittest.mock import MagicMock

from sharpeyes.api.app import create_api

API = create_api(MagicMock())  # nothing is called: only the routes are looked at
Path(__file__).with_name("openapi.json").write_text(
    json.dumps(API.openapi(), indent=1, ensure_ascii=False) + "\n"
)
