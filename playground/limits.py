"""How much of each thing the playground keeps and accepts; sizes in characters unless the name says otherwise."""

from datetime import timedelta

MAX_CONVERSATIONS_PER_USER = 20_000
MAX_CONVERSATIONS_LISTED = 100
# How many conversations one search looks into before it says how far it came.
MAX_CONVERSATIONS_SEARCHED = 1_000
MAX_SEARCH_CHARACTERS = 200
# On one branch, and on all of them.
MAX_CONVERSATION_MESSAGES = 1_000
MAX_CONVERSATION_MESSAGES_MADE = 10_000

MAX_TITLE_CHARACTERS = 120
MAX_MODEL_CHARACTERS = 200
MAX_TOOL_CALL_ID_CHARACTERS = 128
MAX_TAB_CHARACTERS = 36
MAX_SYSTEM_PROMPT_CHARACTERS = 100_000
MAX_CONTENT_CHARACTERS = 400_000
# What an engine may say at once, and a page give back after its server was killed.
MAX_ANSWER_CHARACTERS = 2_000_000
# A message that was refused comes back as the draft, so a draft holds whatever a message does.
MAX_DRAFT_CHARACTERS = MAX_CONTENT_CHARACTERS
MAX_DRAFTS_PER_CONVERSATION = 8
MAX_PARAMETERS_BYTES = 65_536
MAX_PARAMETERS_DEPTH = 32

MAX_PRESETS_PER_PROJECT = 200
MAX_PRESET_VERSIONS = 1_000
MAX_PRESET_NAME_CHARACTERS = 80
MAX_PRESET_DESCRIPTION_CHARACTERS = 500

# Side by side: compared by hand, or tried again and again.
MAX_COLUMNS = 10

# A picture as it is sent, in bytes; a page makes larger ones smaller. All of a request must fit MAX_BODY_BYTES.
MAX_IMAGE_BYTES = 600_000
MAX_IMAGES_PER_MESSAGE = 4
MAX_IMAGES_PER_CONVERSATION = 64

# How long what was deleted can be brought back.
KEEP_DELETED = timedelta(hours=24)

# One frame from a browser: a message's content, with room for JSON's escapes.
MAX_FRAME_CHARACTERS = 1_000_000
MAX_RUNS_PER_SOCKET = 16
MAX_CONVERSATIONS_WATCHED = 16
MAX_SOCKETS_PER_USER = 32
# How long an ended answer's outcome is kept for a socket that comes back, as long as the spine keeps its chunks.
OUTCOME_SECONDS = 60
