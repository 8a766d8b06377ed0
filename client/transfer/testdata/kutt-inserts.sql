SET standard_conforming_strings = on;
INSERT INTO public.links (id, address, target, password, banned, visit_count) VALUES (1, 'hello', 'https://example.com/a\b', NULL, false, 42);
INSERT INTO public.links (id, address, target, password, banned, visit_count) OVERRIDING SYSTEM VALUE VALUES (2, 'e', E'https://example.com/it\'s', NULL, false, 1) ON CONFLICT DO NOTHING;
