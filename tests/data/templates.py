"""Chat templates of the kinds that checkpoints of this family carry."""

QWEN_VL = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are MiMo.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Counters in namespaces, a default system prompt, contents as strings or parts."""

HERMES_TOOLS = """\
{%- if tools %}
    {{- '<|im_start|>system\\n# Tools\\n' }}
    {%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role not in ['system', 'user', 'assistant'] %}
        {{- raise_exception('unknown role ' + message.role) }}
    {%- endif %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set ns = namespace(text='') %}
        {%- for part in message.content %}
            {%- if part.type == 'image' %}{%- set ns.text = ns.text + '<|vision_start|><|image_pad|><|vision_end|>' %}
            {%- elif part.type == 'video' %}{%- set ns.text = ns.text + '<|vision_start|><|video_pad|><|vision_end|>' %}
            {%- else %}{%- set ns.text = ns.text + part.text %}{%- endif %}
        {%- endfor %}
        {%- set content = ns.text %}
    {%- endif %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- generation %}
        {{- content + '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
    {%- endif %}
    {%- if loop.index > 100 %}{%- break %}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
"""Indented, with tools, ``generation`` tags, ``raise_exception`` and loop controls, as newer text models have."""

TOKENS_AND_JSON = (
    "{{ bos_token }}{% for message in messages %}{{ message | tojson(indent=2, sort_keys=True) }}{{ eos_token }}"
    "{% endfor %}{{ strftime_now('%Y') | length }}{{ messages | tojson }}"
)
"""Special tokens by name, and filters that Jinja's own would escape."""
