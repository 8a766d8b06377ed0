--
-- PostgreSQL database dump
--
\restrict abcDEF
SET standard_conforming_strings = on;
CREATE TABLE public.links (
    id integer NOT NULL,
    address character varying(255) NOT NULL,
    description character varying(255),
    banned boolean DEFAULT false NOT NULL,
    domain_id integer,
    password character varying(255),
    expire_in timestamp with time zone,
    target character varying(2097152) NOT NULL,
    visit_count integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
COPY public.domains (id, address) FROM stdin;
1	kutt.example
\.
COPY public.links (id, address, description, banned, domain_id, password, expire_in, target, visit_count, created_at, updated_at) FROM stdin;
1	hello	A\ttab	f	\N	\N	\N	https://example.com/a\\b	42	2021-03-04 05:06:07.89+00	2021-03-05 07:06:07.89+02
2	locked	\N	f	\N	$2a$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234	2099-01-01 00:00:00+00	https://example.com/locked	0	2021-03-04 05:06:07+00	2021-03-04 05:06:07+00
\.
\unrestrict abcDEF
