#!/usr/bin/env python3
"""Writes geo.mmdb and asn.mmdb, in the form of GeoLite2-City and GeoLite2-ASN.

    pip install mmdb_writer==0.2.7 && python3 write.py

The networks are those that RFC 5737 and RFC 3849 reserve for documentation. mmdb_writer is another
implementation of the format than the one in the unit tests of host/capability.
"""

from mmdb_writer import MMDBWriter
from netaddr import IPSet


def names(en, de):
    return {"de": de, "en": en}


def write(path, database_type, records):
    writer = MMDBWriter(
        6, database_type, languages=["de", "en"], description="Networks for documentation", ipv4_compatible=True
    )
    for networks, record in records:
        writer.insert_network(IPSet(networks), record)
    writer.to_db_file(path)


sydney = {
    "city": {"geoname_id": 2147714, "names": names("Sydney", "Sydney")},
    "country": {"geoname_id": 2077456, "iso_code": "AU", "names": names("Australia", "Australien")},
    "location": {"accuracy_radius": 20, "latitude": -33.8591, "longitude": 151.2002, "time_zone": "Australia/Sydney"},
    "subdivisions": [{"iso_code": "NSW", "names": names("New South Wales", "Neusüdwales")}],
}
berlin = {
    "city": {"geoname_id": 2950159, "names": names("Berlin", "Berlin")},
    "country": {"geoname_id": 2921044, "iso_code": "DE", "is_in_european_union": True,
                "names": names("Germany", "Deutschland")},
    "location": {"accuracy_radius": 10, "latitude": 52.5, "longitude": 13.4, "time_zone": "Europe/Berlin"},
}
country_only = {"country": {"geoname_id": 6252001, "iso_code": "US", "names": names("United States", "USA")}}

write("geo.mmdb", "GeoLite2-City", [
    (["203.0.113.0/24"], sydney),
    (["198.51.100.0/25", "2001:db8:1::/48"], berlin),
    (["192.0.2.0/24", "2001:db8:2::/48"], country_only),
])
write("asn.mmdb", "GeoLite2-ASN", [
    (["203.0.113.0/24", "2001:db8:1::/48"],
     {"autonomous_system_number": 64500, "autonomous_system_organization": "Example Carrier"}),
    (["198.51.100.0/24"], {"autonomous_system_number": 64501, "autonomous_system_organization": "Example Cloud"}),
])
